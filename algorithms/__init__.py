"""Imitation, PPO and DPO as RLlib algorithms, and how they are run."""
