"""Jobs and what happens inside them: reading rows, learning from them, and writing a model.

The model is a small stand-in for a language model of billions of parameters trained on GPUs.
"""
