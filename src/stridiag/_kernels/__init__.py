"""Ground floor: compiled kernels, one file per algorithm.

Kernels take arrays and return arrays and an ``info``; they never validate, raise, or allocate large arrays.
Nothing here is public.
"""
