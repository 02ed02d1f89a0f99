"""What the built-ins are meant to be: equations of the papers and sources that they name, in a few lines of numpy each.

They are written independently of the components, and nothing but the conformance kit imports them. A function takes the options
of its component by keyword; the signature of each kind is in docs/conformance.md.
"""
