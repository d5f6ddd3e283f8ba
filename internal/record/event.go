// SPDX-License-Identifier: Apache-2.0

package record

// Event declares one event of a tool for its schema and for docs/events.md.
type Event struct {
	Name   string // value of the event key
	Doc    string // when it is written, one sentence
	Fields any    // a zero value of the struct that Emit is given
	// Pattern is a regular expression for keys beyond the struct's (percentiles); such values are numbers or null.
	Pattern string
}

// Start opens every stream. A tool embeds it with the host's facts, its options in force and its plan.
type Start struct {
	V       int    `json:"v" doc:"schema version"`
	Version string `json:"version" doc:"version of the tool"`
	PID     int    `json:"pid" doc:"process id"`
}

// Note is a warning, a skip, an unsupported feature or an error: a stable reason and a sentence with the next step.
type Note struct {
	Reason string `json:"reason" doc:"stable snake_case code"`
	Detail string `json:"detail" doc:"one sentence with the next step"`
}

// Progress tells how far long work has come, at most four times a second.
type Progress struct {
	Phase      string `json:"phase" doc:"the step under way"`
	DoneBytes  int64  `json:"done_bytes" doc:"bytes done so far"`
	TotalBytes int64  `json:"total_bytes" doc:"bytes to do"`
}

// End closes every stream; a stream without it belongs to a process that died.
type End struct {
	Reason      string  `json:"reason" doc:"why the run ended" enum:"done,signal,timeout,guard,reader_gone,error"`
	ExitCode    int     `json:"exit_code" doc:"exit status of the process"`
	Complete    bool    `json:"complete" doc:"true when everything asked for was done and nothing was lost"`
	Records     uint64  `json:"records" doc:"records written before this one"`
	Warnings    uint64  `json:"warnings" doc:"warning records among them"`
	Dropped     uint64  `json:"dropped" doc:"measurements lost"`
	CPUSeconds  float64 `json:"cpu_seconds" doc:"user and system CPU time of the process"`
	MaxRSSBytes int64   `json:"max_rss_bytes" doc:"peak resident set of the process"`
}

// Common returns the events that every tool may write; a tool adds its own start and measurements.
func Common() []Event {
	return []Event{
		{Name: "warning", Doc: "something the reader must know to judge the numbers", Fields: Note{}},
		{Name: "skip", Doc: "a part that was not done", Fields: Note{}},
		{Name: "unsupported", Doc: "a part that this kernel or host cannot do", Fields: Note{}},
		{Name: "error", Doc: "the failure that ends the run", Fields: Note{}},
		{Name: "end", Doc: "always the last record", Fields: End{}},
	}
}
