// Package files tests files of flow records from outside: kills, full disks, other readers.
package files
