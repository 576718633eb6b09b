"""Compose: the networking part of the Compose Specification, from a file to a change of a host.

    files ── reading ── Project ── changes ── carry_out

reading      files as values: YAML, variables, merging, each key of networks and services
files        the command line's words, where files are, variables, a project's name
load         a project from its files
model        the files merged, with what they include
project      values of a project
normal_form  a project in its long form, and hashes of its parts
labels       Docker's labels of a project's networks and containers
options      a project's values as keywords of the library's verbs
changes      what is to change, as a pure function of the project and of what there is
carry_out    up and down on a host
yaml_text    YAML that all readers take alike
specification  the specification's JSON schema, for `config --schema`
transfer     network export and import
"""
