"""A laboratory of real registries, a real registry proxy and real clients on a network without a way out.

Nothing in here knows what the addon is supposed to do; it only starts things, lets them talk and tells truthfully what
they said. Start reading at :mod:`lab.network` (where everything lives) and :mod:`lab.fixtures` (how tests get hold of
it).
"""
