"""The simulated Jambonz: a feature server, its media server, its REST API, and people who call.

It has every trap of the real one that we know of; docstrings name them: a simulator kinder than
reality is a bug. Start at :mod:`jambonz.simulator.feature_server`.
"""
