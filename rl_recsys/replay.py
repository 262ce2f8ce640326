"""Compare recorded sessions of the original WebShop with this project's: ``python -m rl_recsys.replay --help``."""

from rl_recsys.webshop.replay import run

if __name__ == "__main__":
    run()
