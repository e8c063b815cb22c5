// Package dtls agrees on DTLS 1.2 with collectors.
package dtls
