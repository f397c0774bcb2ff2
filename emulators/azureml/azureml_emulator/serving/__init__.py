"""What runs behind an online endpoint: the model that a deployment loads, and the answers it gives."""
