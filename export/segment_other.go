//go:build !linux

package export

import "net"

func segmented(conn *net.UDPConn) socket { return conn }

func wantsSingly(error) bool { return false }
