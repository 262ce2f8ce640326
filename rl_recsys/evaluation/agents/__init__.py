"""Agents from elsewhere, each asked for one action at a time: a function, a process, a language model at an address."""
