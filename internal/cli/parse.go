// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"memline/internal/exit"
	"memline/internal/record"
)

// parsed tells Run that kong has answered the user itself (--help).
type parsed struct{ code int }

func parse(tool Tool, common *Common, args []string, stdout, stderr io.Writer) (code int, done bool) {
	defer func() {
		if r := recover(); r != nil {
			p, ok := r.(parsed)
			if !ok {
				panic(r)
			}
			code, done = p.code, true
		}
	}()
	options := append([]kong.Option{
		kong.Name(tool.Name),
		kong.Description(tool.Summary),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(parsed{code}) }),
		kong.DefaultEnvars("MEMLINE_" + strings.ToUpper(tool.Name)),
		kong.PostBuild(ignoreEmptyEnvironment),
		kong.Help(func(o kong.HelpOptions, ctx *kong.Context) error {
			command := ""
			if node := ctx.Selected(); node != nil {
				command = node.Path()
			}
			if examples := examplesOf(tool.Examples, tool.Name, command); examples != "" {
				fmt.Fprintf(ctx.Stdout, "%s\n\n", examples)
			}
			return kong.DefaultHelpPrinter(o, ctx)
		}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	}, tool.Kong...)
	parser, err := kong.New(tool.Options, options...)
	if err != nil {
		return usage(stderr, tool.Name, err), true
	}
	// --schema and --version need no other argument to be right.
	switch {
	case slices.Contains(args, "--schema"):
		schema, err := record.Schema(tool.Name, tool.Events)
		if err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", tool.Name, err)
			return exit.Failure, true
		}
		fmt.Fprintf(stdout, "%s\n", schema)
		return exit.OK, true
	case slices.Contains(args, "--version"):
		fmt.Fprintf(stdout, "%s %s\n", tool.Name, version)
		return exit.OK, true
	}
	parseCtx, err := parser.Parse(args)
	if err != nil {
		return usage(stderr, tool.Name, err), true
	}
	if tool.Command != nil {
		tool.Command(parseCtx.Command())
	}
	if t, ok := tool.Options.(interface{ timed() *Timed }); ok && t.timed().Timeout.IsSet() && t.timed().Timeout.Duration == 0 {
		return usage(stderr, tool.Name, errors.New("--timeout: 0 leaves no time for anything; give a duration such as 30s, or leave it out")), true
	}
	if tool.Validate != nil {
		if err := tool.Validate(); err != nil {
			return usage(stderr, tool.Name, err), true
		}
	}
	return 0, false
}

// ignoreEmptyEnvironment takes an empty variable for one that is not set, as a line of a crontab or of a unit file leaves it.
func ignoreEmptyEnvironment(k *kong.Kong) error {
	return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			flag.Envs = slices.DeleteFunc(flag.Envs, func(name string) bool {
				value, set := os.LookupEnv(name)
				return set && value == ""
			})
			flag.Value.Tag.Envs = flag.Envs
		}
		return next(nil)
	})
}

// examplesOf returns a tool's examples, or those of one command: the heading and the lines that call it.
func examplesOf(examples, tool, command string) string {
	if command == "" {
		return strings.TrimSpace(examples)
	}
	heading, rest, _ := strings.Cut(strings.TrimSpace(examples), "\n")
	var lines []string
	for line := range strings.SplitSeq(rest, "\n") {
		if strings.Contains(line+" ", tool+" "+command+" ") {
			lines = append(lines, line)
		}
	}
	if lines == nil {
		return ""
	}
	return heading + "\n" + strings.Join(lines, "\n")
}

func usage(stderr io.Writer, name string, err error) int {
	fmt.Fprintf(stderr, "%s: %s (try --help)\n", name, oneLine(err.Error()))
	return exit.Usage
}

func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }

func splitLabels(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func parseLabels(pairs []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return nil, fmt.Errorf("%q is not KEY=VALUE with a snake_case key", pair)
		}
		labels[key] = value
	}
	return labels, nil
}
