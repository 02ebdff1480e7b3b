"""The commands of mrc-values.

A module defines the command of the same name by a function of that name; a package is a group of commands,
and its docstring is the help text of the group. A trailing underscore avoids Python's own names, and other
underscores become hyphens: ``node_groups.py`` is ``mrc-values node-groups``. No list needs an entry for a new
command.
"""
