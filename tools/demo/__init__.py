"""``make demo``: runs the product on this machine, from data to a tested model.

Every command of the product is printed before it runs, and a user can run each of them as printed.
"""
