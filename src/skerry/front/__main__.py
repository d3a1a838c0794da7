"""`python -m skerry.front CONTROL LISTENER…`: descriptors that the control plane's process has opened."""

import socket
import sys

from skerry.front.process import serve

if __name__ == "__main__":
    control, *listeners = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    serve(control, listeners)
