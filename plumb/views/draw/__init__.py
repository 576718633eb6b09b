"""Pictures in the forms that people and programs take them in.

words     what is written at an interface, a box and a wire, in all of these forms
text      for a terminal
changes   what has changed between two pictures, for a terminal
svg       as an SVG image
mermaid   as a flowchart of Mermaid
page      as one page, with explanations and a packet's story
story     the steps of that story
dot       as a graph of Graphviz
"""
