"""The choice policy: the model, its RLlib module and its pretrained encoders."""
