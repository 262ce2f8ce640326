"""A session: its pages, actions and reward."""
