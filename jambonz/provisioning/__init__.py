"""Numbers, carriers and the application in Jambonz, brought to what the database wants.

:mod:`wanted` is what ought to be, :mod:`found` what is, :mod:`plan` the steps from one to the other, and :mod:`verdict`
what may be said of numbers and registrations afterwards: all pure. :mod:`perform` asks and acts.
"""
