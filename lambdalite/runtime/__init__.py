"""What runs in the child processes: the standard library and this package, nothing else.

The host trusts nothing that comes out of here; the rules of the channel are in `frames`.
"""

# True in guardian, zygote, templates and environments: there our decorators are inert (see `inert`).
IN_CHILD = False
