"""Several processes of one service, on one port and one database: who has a call, and how what concerns it
gets there."""
