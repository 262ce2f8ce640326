"""What is wanted: goals, their splits and variations, requests in words."""
