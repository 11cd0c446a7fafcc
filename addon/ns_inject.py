"""What `mitmdump -s addon/ns_inject.py` loads."""

from oci_ns.addon import NsInject

addons = [NsInject()]
