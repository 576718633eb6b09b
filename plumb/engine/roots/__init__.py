"""Roots: one at a time builds in a network namespace, and none may take another's for its own.

claim            the root's claim on its network namespace, taken before anything is touched
beside           reset of a root whose namespace another root has
leavings         refuses to build over what a root whose record was lost has left
lost             a root whose record is gone or damaged: reported, and removed by marks
lost_namespaces  namespaces whose file was lost: found again, or built anew
"""
