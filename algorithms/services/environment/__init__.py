"""The shop as an environment that other programs play in: OpenEnv's protocol, AgentGym's, and tools for TRL."""
