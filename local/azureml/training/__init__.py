"""What happens inside a fine-tuning job: reading rows, learning from them, and answering by what was learned.

It stands in for training a language model of billions of parameters on GPUs, and it is no such model. Nothing
here knows of HTTP or of the clock.
"""
