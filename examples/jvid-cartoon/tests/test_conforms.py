"""What jvid requires of a denoiser, of a selector and of a plugin, one test a check."""

import jvid
from jvid.testing import conformance


@conformance("denoiser")
def test_two_tone():
    return jvid.load("denoiser", "cartoon/two-tone")


@conformance("selector")
def test_strokes():
    return jvid.load("selector", "cartoon/strokes", every=3)


@conformance("plugin")
def test_the_plugin():
    return "jvid_cartoon"
