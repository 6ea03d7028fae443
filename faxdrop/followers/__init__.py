"""What hangs behind the journal. Nothing here can delay, repeat or fail a fax.

A new follower is one file: a subclass of ``follower.Follower`` (which looks at how things stand) or
``follower.LineFollower`` (which is given the journal line by line), and a line in ``followers_of``
(``daemon.build``), which says whether a config wants it.
"""
