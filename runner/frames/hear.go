package frames

// Hear takes what a terminal sends to a command, until it goes, or sends what it should not.
// Inputs, which has room for [InputsMax] of them, gets what goes in. It is closed when the
// terminal has said that this was all, and only then: a command whose terminal is lost must
// not take a part for the whole. Resize hears the size of the terminal.
func (r *Reader) Hear(inputs chan<- []byte, resize func(rows, columns int)) {
	closed := false
	for {
		kind, payload, err := r.Next()
		switch {
		case err != nil:
			return
		case kind == Input && !closed:
			select {
			case inputs <- append([]byte(nil), payload...):
			default:
				return // more on its way than there may be
			}
		case kind == Closed && !closed:
			closed = true
			close(inputs)
		case kind == Size && len(payload) == 4:
			resize(int(payload[0])<<8|int(payload[1]), int(payload[2])<<8|int(payload[3]))
		default:
			return
		}
	}
}
