"""Pictures of a host's wiring: namespaces, their interfaces, and what joins them.

picture     the value: boxes with interfaces, wires between them
build       makes a picture of links that were read
outside     wires that leave the host: published ports, NAT, tunnels, uplinks
policies    what networks promise of themselves, and the administrator's rules about them
read        reads the links of all namespaces on this host
difference  what has changed between two pictures
document    a picture as JSON, and back
trees       interfaces of a box in the order of what stands on what
explained   reasons of what is in a picture
columns     where boxes and wires are in a drawing

`plumb.views.draw` prints them as text, SVG, Mermaid, dot and as a page.
"""
