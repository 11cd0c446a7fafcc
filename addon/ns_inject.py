"""What `mitmdump -s addon/ns_inject.py` loads."""

from oci_ns.assembly import assemble

addons = assemble()
