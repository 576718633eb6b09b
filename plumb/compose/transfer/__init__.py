"""Transfer of networks between hosts: `network export` writes a compose file, `import` builds it.

described    networks and containers of a host as a project: the inverse of `options`
selection    what of a host is exported
portable     a project as a file, with variables for what is another on another host
asked        what a file asks for, as the library's verbs read it
differences  what a host has otherwise than a file says
importing    a file's networks and containers made on a host, as one change
"""
