"""A recipe without a fault, for tests to break."""

GOOD = """\
name: plants
about: House plants.
data:
  items: {path: plants.jsonl, id: pid, text: [name, notes], facts: [light]}
  events: {path: events.csv, user: buyer, item: pid, time: day, value: rating, positive: ">= 4"}
  split: {by: time, history: 0.5, fit: 0.2, tune: 0.15, test: 0.15}
objective: {metric: ndcg@10}
tasks:
  mood:
    for: item
    inputs: [name, notes]
    write: "How the plant feels."
    outputs:
      feel:
        type: tags
        choices: [calm, wild, on, off]
        max: 2
      kind: {type: choice, choices: [tree, herb]}
      line: {type: text, max_words: 5}
    examples:
      - name: Fern
        notes: Likes shade.
        feel: [calm]
        kind: herb
        line: A quiet green thing.
  card:
    for: item
    inputs: [name, $mood.feel]
    write: "A line for the label."
    outputs: {label: {type: text}}
  liking:
    for: user
    history: {most: 5, show: [name, $mood.feel]}
    write: "What the buyer likes."
    outputs: {likes: {type: tags, choices: $mood.feel.choices}}
compile: {tasks: [mood], budget: {calls: 30}}
eval: {fail_if: {noise_rate: "> 0.05"}}
privacy: {send: [name, notes]}
"""
