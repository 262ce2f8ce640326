"""What a policy is shown of a session."""
