// Record what Go prints: templates and the names of their documents on standard input, one JSON
// object a line; the same with "out" or "error" on standard output.
//
//	go run record.go documents.json < templates.jsonl
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type State struct {
	Status   string
	Running  bool
	ExitCode int
	Health   *Health
}
type Health struct{ Status string }
type Binding struct{ HostIp, HostPort string }
type Port string
type IPAM struct{ IPv4Address string }
type Endpoint struct {
	IPAMConfig  *IPAM
	Aliases     []string
	IPAddress   string
	IPPrefixLen int
}
type Settings struct {
	Ports    map[Port][]Binding
	Networks map[string]*Endpoint
}
type Config struct {
	Hostname     string
	Labels       map[string]string
	ExposedPorts map[Port]struct{}
	Env          []string
}
type Container struct {
	Id              string
	Name            string
	Count           int
	Args            []string
	State           *State
	Config          *Config
	NetworkSettings Settings
	Mounts          []Binding
	Options         map[string]string
}
type Row struct{ columns map[string]string }

func (r *Row) ID() string               { return r.columns["ID"] }
func (r *Row) Names() string            { return r.columns["Names"] }
func (r *Row) Ports() string            { return r.columns["Ports"] }
func (r *Row) Internal() string         { return r.columns["Internal"] }
func (r *Row) Label(name string) string { return map[string]string{"role": "web"}[name] }
func (r *Row) MarshalJSON() ([]byte, error) {
	return json.Marshal(r.columns)
}

func pad(source string, prefix, suffix int) string {
	if source == "" {
		return source
	}
	return strings.Repeat(" ", prefix) + source + strings.Repeat(" ", suffix)
}

func truncate(source string, length int) string {
	if len(source) < length {
		return source
	}
	return source[:length]
}

func compact(value any) string {
	buffer := &bytes.Buffer{}
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	encoder.Encode(value)
	return strings.TrimSpace(buffer.String())
}

var functions = template.FuncMap{
	"json": compact, "split": strings.Split, "join": strings.Join, "title": strings.Title,
	"lower": strings.ToLower, "upper": strings.ToUpper, "pad": pad, "truncate": truncate,
}

func document(kind string, text []byte) any {
	switch kind {
	case "typed":
		value := &Container{}
		if err := json.Unmarshal(text, value); err != nil {
			panic(err)
		}
		return value
	case "row":
		columns := map[string]string{}
		json.Unmarshal(text, &columns)
		return &Row{columns}
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		panic(err)
	}
	return value
}

func main() {
	documents := map[string]json.RawMessage{}
	text, _ := os.ReadFile(os.Args[1])
	if err := json.Unmarshal(text, &documents); err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		entry := struct {
			Document string `json:"document"`
			Template string `json:"template"`
			Out      string `json:"out"`
			Error    string `json:"error,omitempty"`
		}{}
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			panic(err)
		}
		parsed, err := template.New("").Funcs(functions).Parse(entry.Template)
		buffer := &bytes.Buffer{}
		if err == nil {
			if entry.Document == "plain" {
				parsed.Option("missingkey=error")
			}
			name := entry.Document
			err = parsed.Execute(buffer, document(name, documents[name]))
		}
		if err != nil {
			entry.Error = err.Error()
		} else {
			entry.Out = buffer.String()
		}
		out.Encode(entry)
	}
}
