"""What would go wrong on this machine or in this project, told before it does."""
