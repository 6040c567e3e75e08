-- A port of several links: numbers, rotation, merge and fail-over of one direction (HSL 4.2 to 4.6). Both directions
-- are the same and share only the masks. Go-back-N is abstracted to: what is in a link's replay buffer arrives in order,
-- once, as long as the receiver holds the link alive. BOND messages are lost and overtake one another at will.

const -- what a run explores; models.toml sets other values
  LINKS: 2;
  FLITS: 5;  -- PROT flits, BSN 0 and up
  W:     1;  -- window of a link
  FAILS: 2;  -- link failures, each seen by one side first
  CTL:   2;  -- BOND messages under way in one direction
  SETS:  0;  -- 0: the port is up with all links; 2^LINKS-1: it starts from the empty epoch, each side with any links

type
  Role: enum {TX, RX};
  Link: 0..LINKS-1;
  Mask: array [Link] of boolean;
  Bsn:  0..FLITS-1;
  Set:  array [Bsn] of boolean;
  Slot: scalarset(CTL);
  Kind: enum {FAIL, RESUME, RESUME_ACK};
  Bond: record -- a slot without a message is undefined
    kind:  Kind;
    way:   Link; -- the link that carries it
    base:  Mask;
    mask:  Mask;
    top:   0..FLITS; -- T of a RESUME
    count: 0..FLITS;
  endrecord;

var
  am:     array [Role] of Mask; -- links that this side holds usable
  -- the sender
  tx:     Mask;                 -- its epoch
  turn:   Link;
  missing: Set;                 -- flits of the missing list that are not re-sent yet
  fresh:  0..FLITS;             -- the next new BSN
  sent:   array [Link] of array [0..W-1] of Bsn; -- replay buffer of a link from BASE on
  len:    array [Link] of 0..W; -- NEXT - BASE
  acc:    array [Link] of 0..W; -- EXP of the receiver - BASE
  report: Mask;                 -- base of the stored BOND_FAIL, undefined: none
  open:   boolean;              -- a resume is open, with these
  r_mask: Mask;
  r_list: Set;
  r_top:  0..FLITS;
  -- the receiver
  rx:     Mask;
  list:   Set;                  -- missing list of its epoch
  top:    0..FLITS;             -- T of its epoch
  taken:  array [Link] of 0..FLITS; -- flits accepted in its epoch
  have:   Set;                  -- accepted, not merged
  merged: 0..FLITS;             -- the merge point
  -- the wires
  bond:   array [Role] of array [Slot] of Bond; -- on their way to that role
  fails:  0..FAILS;
  calm:   boolean;              -- no fault comes any more

function other(r: Role): Role; begin return r = TX ? RX : TX; end;
function empty(m: Mask): boolean; begin return forall l: Link do !m[l] endforall; end;
function lowest(m: Mask): Link; begin for l: Link do if m[l] then return l; endif; endfor; end;
function size(b: Set): 0..FLITS; var k: 0..FLITS; begin
  k := 0;
  for i: Bsn do if b[i] then k := k + 1; endif; endfor;
  return k;
end;

-- HSL 4.6: a link leaves the alive mask.
procedure drop(r: Role; l: Link); begin
  am[r][l] := false;
  if r = TX then undefine report; endif;
end;

-- HSL 4.2: what the flit after `taken[l]` others on link l is called in the receiver's epoch; FLITS: it cannot be.
function label(l: Link): 0..FLITS;
var place: 0..FLITS*LINKS+LINKS; seen: 0..FLITS; links: 0..LINKS;
begin
  links := 0;
  place := 0;
  for i: Link do if rx[i] then
    if i < l then place := place + 1; endif;
    links := links + 1;
  endif; endfor;
  place := place + taken[l] * links;
  seen := 0;
  for b: Bsn do if list[b] then
    if seen = place then return b; endif;
    seen := seen + 1;
  endif; endfor;
  return top + place - seen < FLITS ? top + place - seen : FLITS;
end;

procedure post(r: Role; kind: Kind; base: Mask; mask: Mask); -- without a free slot it is lost
var sender: Role;
begin
  sender := other(r);
  for i: Slot do if isundefined(bond[r][i].kind) then
    bond[r][i].kind := kind;
    bond[r][i].way := lowest(am[sender]);
    bond[r][i].base := base;
    bond[r][i].mask := mask;
    if kind = RESUME then
      bond[r][i].top := r_top;
      bond[r][i].count := size(r_list);
    endif;
    return;
  endif; endfor;
end;

function free_slot(r: Role): boolean; begin return exists i: Slot do isundefined(bond[r][i].kind) endexists; end;

procedure forget(l: Link); begin
  undefine sent[l];
  len[l] := 0;
  acc[l] := 0;
end;

procedure install(); begin -- S4
  tx := r_mask;
  turn := lowest(r_mask);
  missing := r_list;
  for l: Link do if !r_mask[l] then forget(l); endif; endfor;
  open := false;
  undefine r_mask; undefine r_list; undefine r_top;
end;

procedure tx_receives(m: Bond); begin
  if open & m.kind = FAIL & m.base = r_mask & r_mask != tx then install(); endif; -- R2
  if m.kind = FAIL & m.base = tx & m.mask = am[TX] & m.mask != tx & !(open & r_mask = am[TX]) then -- R3
    report := m.base;
  endif;
  if m.kind = RESUME_ACK & open & m.mask = r_mask then install(); endif; -- R6
end;

procedure rx_receives(m: Bond); begin
  if m.kind = RESUME & m.base = rx & m.mask = am[RX] & m.mask != rx then -- R4
    for b: Bsn do
      list[b] := b >= merged & b < m.top & !have[b];
      assert "nothing beyond T is there" b < m.top | !have[b];
    endfor;
    for l: Link do taken[l] := 0; endfor;
    assert "both sides derive the same list" size(list) = m.count;
    rx := m.mask;
    top := m.top;
    post(TX, RESUME_ACK, m.base, m.mask);
  elsif m.kind = RESUME & m.mask = rx then -- R5
    post(TX, RESUME_ACK, m.base, m.mask);
  endif;
end;

ruleset r: Role; i: Slot do
  rule "BOND message arrives" !isundefined(bond[r][i].kind) ==>
  var m: Bond;
  begin
    m := bond[r][i];
    undefine bond[r][i];
    if am[r][m.way] then
      for l: Link do if am[r][l] & !m.mask[l] then drop(r, l); endif; endfor; -- R1
      if !empty(am[r]) then
        if r = TX then tx_receives(m); else rx_receives(m); endif;
      endif;
    endif;
  end;

  rule "lose a BOND message" !calm & !isundefined(bond[r][i].kind) ==> begin undefine bond[r][i]; end;
endruleset;

-- T_BOND of both sides. The TX side's report is about its other direction: here only its mask matters, no base fits.
rule "RX side: BOND_FAIL" !empty(am[RX]) & (rx != am[RX] | !calm) & free_slot(TX) ==> begin post(TX, FAIL, rx, am[RX]); end;
rule "TX side: BOND_FAIL" !empty(am[TX]) & tx != am[TX] & free_slot(RX) ==> begin post(RX, FAIL, tx, am[TX]); end;
rule "TX side: BOND_RESUME" !empty(am[TX]) & open & r_mask = am[TX] & free_slot(RX) ==> begin post(RX, RESUME, tx, r_mask); end;

rule "open a resume" -- S2, with its barrier
  !isundefined(report[0]) & !empty(am[TX]) & forall l: Link do am[TX][l] -> len[l] = 0 endforall
==> begin
  r_list := missing;
  for l: Link do if tx[l] & !am[TX][l] then
    assert "EXP of a lost link is reported" report[l];
    for k := 0 to W - 1 do
      if k >= acc[l] & k < len[l] then r_list[sent[l][k]] := true; endif;
    endfor;
  endif; endfor;
  open := true;
  r_mask := am[TX];
  r_top := fresh;
  undefine report;
end;

rule "send a flit" -- S1, S5, HSL 4.3
  !empty(tx) & tx = am[TX] & len[turn] < W & (size(missing) > 0 | fresh < FLITS)
==>
var b: Bsn; k: Link;
begin
  if size(missing) > 0 then
    b := 0;
    while !missing[b] do b := b + 1; endwhile;
    missing[b] := false;
  else
    b := fresh;
    fresh := fresh + 1;
  endif;
  sent[turn][len[turn]] := b;
  len[turn] := len[turn] + 1;
  k := (turn + 1) % LINKS;
  while !tx[k] do k := (k + 1) % LINKS; endwhile;
  turn := k;
end;

ruleset l: Link do
  rule "a flit arrives" am[RX][l] & acc[l] < len[l] ==>
  var b: Bsn;
  begin
    b := sent[l][acc[l]];
    acc[l] := acc[l] + 1;
    assert "a flit comes on a link of the epoch" rx[l];
    assert "the receiver knows the BSN of each flit" label(l) = b;
    assert "no flit is merged twice" b >= merged & !have[b];
    taken[l] := taken[l] + 1;
    have[b] := true;
    for i: Bsn do if i = merged & have[i] then
      have[i] := false;
      merged := merged + 1;
    endif; endfor;
  end;

  rule "an ACK arrives" am[TX][l] & acc[l] > 0 ==> begin
    for k := 0 to W - 1 do
      if k + acc[l] < len[l] then sent[l][k] := sent[l][k + acc[l]]; else undefine sent[l][k]; endif;
    endfor;
    len[l] := len[l] - acc[l];
    acc[l] := 0;
  end;
endruleset;

ruleset r: Role; l: Link do
  rule "link fails" !calm & fails > 0 & am[r][l] ==> begin fails := fails - 1; drop(r, l); end;
  rule "T_DEADKA: the other side has lost it" am[r][l] & !am[other(r)][l] ==> begin drop(r, l); end;
endruleset;

rule "faults end" !calm ==> begin calm := true; end;

ruleset t: 0..SETS; x: 0..SETS do startstate "the links of each side are the ones of a number"
var bit: 1..256;
begin
  undefine sent; undefine bond; undefine report; undefine r_mask; undefine r_list; undefine r_top;
  bit := 1;
  for l: Link do
    am[TX][l] := SETS = 0 | (t / bit) % 2 = 1;
    am[RX][l] := SETS = 0 | (x / bit) % 2 = 1;
    bit := 2 * bit;
    tx[l] := SETS = 0;
    rx[l] := SETS = 0;
    len[l] := 0; acc[l] := 0; taken[l] := 0;
  endfor;
  for b: Bsn do missing[b] := false; list[b] := false; have[b] := false; endfor;
  turn := 0; fresh := 0; top := 0; merged := 0;
  open := false; fails := FAILS; calm := false;
end; endruleset;

-- From every state, also with no fault from there on (`calm`), this is reachable.
liveness "each flit is merged in its place and both sides hold the same links, or both hold none"
  empty(am[TX]) & empty(am[RX]) |
  merged = FLITS & am[TX] = am[RX] & tx = am[TX] & rx = am[RX];
