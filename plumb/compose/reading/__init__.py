"""Reading of compose files: text in, checked values out, with file and line where that fails.

document      YAML as a tree, each part with file and line
interpolate   $NAME and ${NAME…} in values
dotenv        files of variables
text_file     text of files, of a largest size
merge         several files as one
extending     services that extend others
including     files that include others
fields        tables of keys: how each is read
networks      networks of a file
services      services of a file
service_keys  readers of a service's keys
promises      promises that are tried with traffic
environment   variables and labels of services, files of them
no_effect     keys without effect here, each with its reason
"""
