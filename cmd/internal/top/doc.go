// Package top shows which flows carried most lately, as a live view on a
// terminal or as plain tables.
package top
