"""SMTP as pure protocol: the server side (`session`) and the client side (`client`), without sockets or clocks."""
