"""Values as text, as Go's packages fmt, strconv and encoding/json write them.

printing      a value by a verb and its flags
printf        formats with verbs
floats        digits of a float
quoting       quoted strings, and what they mean
escapes       text inside HTML, JavaScript and a URL's query
compact_json  JSON in one line
"""
