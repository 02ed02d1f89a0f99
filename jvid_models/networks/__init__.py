"""Networks of this library: UNets and the video decoder."""
