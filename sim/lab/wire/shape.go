package wire

// Links of the shapes in which networks break. Each is both directions unless
// it says otherwise.

// Between are the links between two sets of nodes.
func Between(a, b []string) []Link {
	var links []Link
	for _, x := range a {
		for _, y := range b {
			if x != y {
				links = append(links, Link{x, y}, Link{y, x})
			}
		}
	}
	return links
}

// OneWay are the links from one set of nodes to another, and not back.
func OneWay(from, to []string) []Link {
	var links []Link
	for _, x := range from {
		for _, y := range to {
			if x != y {
				links = append(links, Link{x, y})
			}
		}
	}
	return links
}

// Split are the links between parts, which leaves each part whole. A node in
// two parts is a bridge between them.
func Split(parts ...[]string) []Link {
	together := map[Link]bool{}
	var all []string
	for _, p := range parts {
		all = append(all, p...)
		for _, l := range OneWay(p, p) {
			together[l] = true
		}
	}
	var links []Link
	seen := map[Link]bool{}
	for _, l := range OneWay(all, all) {
		if !together[l] && !seen[l] {
			seen[l] = true
			links = append(links, l)
		}
	}
	return links
}

// Ring are the links that are missing where each node sees only so many
// neighbours on either side: of five nodes with one neighbour, each sees a
// majority, and no two the same.
func Ring(nodes []string, neighbours int) []Link {
	var links []Link
	for i, from := range nodes {
		for j, to := range nodes {
			apart := (i - j + len(nodes)) % len(nodes)
			if apart = min(apart, len(nodes)-apart); apart > neighbours {
				links = append(links, Link{from, to})
			}
		}
	}
	return links
}
