"""Parts of pipelines by what they are: tokenizers, encoders, autoencoders, schedulers."""
