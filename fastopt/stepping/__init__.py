"""What an Optimizer is made of.

parameters.py   the arrays in the form in which their user keeps them
groups.py       other hyperparameters, another rule or none for some of them
table.py        arrays of one dtype and rule as addresses: what one call of a step's kernel takes
work.py         a table with its rules, their coefficients and the engine's step bound to it
clipping.py     the norm of all gradients, and the factor that scales them down
ascent.py       SAM's way up, and back
saved.py        what load_state_dict takes, looked at as a whole before anything is changed
"""
