package mesh

import "strings"

// keyMax is the length of a key beyond which no known one is like it.
const keyMax = 64

// Nearest is the one of known that key was most likely meant to be, or "".
func Nearest(key string, known []string) string {
	if len(key) > keyMax {
		return ""
	}
	best, least := "", max(len(key)/3, 1)+1
	for _, k := range known {
		if d := distance(strings.ToLower(key), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is how many slips of the finger make a into b: a letter left out,
// put in or changed, or two neighbours swapped.
func distance(a, b string) int {
	var before []int // the row before the last
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
