"""Views of what diagnoses found.

doctor  findings of doctor, as text and as JSON
"""
