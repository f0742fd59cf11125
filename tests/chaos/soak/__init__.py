"""Faults by the dozen into a whole running pipeline, and after each: is anything lost or doubled?"""
