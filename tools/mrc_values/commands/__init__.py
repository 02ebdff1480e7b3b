"""The commands of mrc-values, one file each: arguments in, text out."""
