// Coraza as an embedding has it: batches of requests from standard input, verdicts to standard output.
//
// The protocol is described in benches/waf/harness.py. What Coraza could be spared is spared it: a head is taken apart by
// a few lines that cost less than net/http, no text of a log is made, no identifier of a transaction is drawn, and no
// audit log is written.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/types"
)

type loaded struct {
	Seconds          float64 `json:"load_s"`
	ProcessorSeconds float64 `json:"load_cpu_s"`
}

type verdict struct {
	status int
	ids    []int
}

func (v verdict) MarshalJSON() ([]byte, error) {
	if v.ids == nil {
		v.ids = []int{}
	}
	return json.Marshal([]any{v.status, v.ids})
}

type judged struct {
	ProcessorNs int64     `json:"cpu_ns"`
	Verdicts    []verdict `json:"verdicts"`
}

// withLog is what a matched rule has since Coraza 3.1, and what its interface gets in version 4.
type withLog interface{ Log() bool }

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func serve() error {
	if len(os.Args) != 2 {
		return errors.New("usage: coraza RULES")
	}
	begin, beginNs := time.Now(), processorNs()
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectivesFromFile(os.Args[1]))
	if err != nil {
		return err
	}
	output := json.NewEncoder(os.Stdout)
	load := loaded{time.Since(begin).Seconds(), float64(processorNs()-beginNs) / 1e9}
	if err := output.Encode(load); err != nil {
		return err
	}
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		batch, err := readBatch(input)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		verdicts := make([]verdict, len(batch))
		before := processorNs()
		for at, request := range batch {
			if err := judge(waf, request, &verdicts[at]); err != nil {
				return err
			}
		}
		if err := output.Encode(judged{processorNs() - before, verdicts}); err != nil {
			return err
		}
	}
}

func judge(waf coraza.WAF, request []byte, to *verdict) error {
	tx := waf.NewTransactionWithID("0123456789abcdef")
	interruption, err := run(tx, request)
	if err != nil {
		return err
	}
	if interruption != nil {
		to.status = interruption.Status
	}
	tx.ProcessLogging()
	for _, matched := range tx.MatchedRules() {
		if matched.(withLog).Log() {
			to.ids = append(to.ids, matched.Rule().ID())
		}
	}
	return tx.Close()
}

func run(tx types.Transaction, request []byte) (*types.Interruption, error) {
	line, rest, _ := bytes.Cut(request, []byte("\r\n"))
	method, line, _ := bytes.Cut(line, []byte(" "))
	target, protocol, _ := bytes.Cut(line, []byte(" "))
	tx.ProcessConnection("192.0.2.7", 40000, "198.51.100.1", 443)
	tx.ProcessURI(string(target), string(method), string(protocol))
	for line, rest, _ = bytes.Cut(rest, []byte("\r\n")); len(line) > 0; line, rest, _ = bytes.Cut(rest, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(": "))
		tx.AddRequestHeader(string(name), string(value))
	}
	if interruption := tx.ProcessRequestHeaders(); interruption != nil {
		return interruption, nil
	}
	if len(rest) > 0 {
		if interruption, _, err := tx.WriteRequestBody(rest); interruption != nil || err != nil {
			return interruption, err
		}
	}
	return tx.ProcessRequestBody()
}

func readBatch(input io.Reader) ([][]byte, error) {
	var count uint32
	if err := binary.Read(input, binary.LittleEndian, &count); err != nil {
		return nil, err
	}
	batch := make([][]byte, count)
	for at := range batch {
		var length uint32
		if err := binary.Read(input, binary.LittleEndian, &length); err != nil {
			return nil, err
		}
		batch[at] = make([]byte, length)
		if _, err := io.ReadFull(input, batch[at]); err != nil {
			return nil, err
		}
	}
	return batch, nil
}

// processorNs is the time of all threads, those that collect garbage among them.
func processorNs() int64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err) // Linux refuses no process this.
	}
	return used.Utime.Nano() + used.Stime.Nano()
}
