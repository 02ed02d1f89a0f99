"""Models for jvid: UNets, adapters to diffusers and transformers, codecs, text encoders, the bundled pair.

Importing this package imports neither torch nor diffusers; its modules do.
"""
