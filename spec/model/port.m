-- A port whose sides restart (HSL 3.2.3 rows 1 to 5, 13, 33, 34; 4.1; 4.6 R1): both sides come up again, and end no further
-- session once no fault comes any more. A link is shortened to four states: HAND is CONFIG and INIT, ACTIVE is also
-- RECOVERY, DEAD is also DISABLED. Names (EPOCH, PORT) are renumbered after each step in the order in which they stand in
-- the state, so their supply has no end and only their equality counts.

const -- what a run explores; models.toml sets other values
  LINKS:  2;
  FAULTS: 1;  -- restarts, port resets and port_downs of the transaction layer, of either side
  LOSS:   1;  -- flits are lost, and timers expire early
  WIRE:   0;  -- flits that may be under way per link and direction; 0: a flit arrives as it is sent
  SOFT:   1;  -- software disables ports, and enables those that are down; 0: it only resets them
  DOWNS:  4;  -- sessions that may end after the last fault

type
  Side:  scalarset(2);
  Link:  scalarset(LINKS);
  Epoch: 0..5; -- 0: none. One side's names of one link: its own, the peer's record of it, and in two flits under way
  Name:  0..2*LINKS+2; -- PORT of a side: its own, and for each link the peer's record of it and a flit under way
  State: enum {DETECT, HAND, ACTIVE, DEAD};
  Kind:  enum {HELLO, CAPS, LATER}; -- CAPS: any flit of CONFIG or INIT; LATER: any of ACTIVE
  Mask:  array [Link] of boolean;
  Flit:  record -- one may be under way per link and direction
    kind:  Kind;
    epoch: Epoch;
    peer:  Epoch;
    port:  Name;    -- HELLO
    bond:  boolean; -- LATER of a link of AM: it carries BOND_FAIL
    mask:  Mask;
  endrecord;
  Mate:  enum {NONE, PRESENT, PAST};

var
  st:    array [Side] of array [Link] of State;
  epoch: array [Side] of array [Link] of Epoch;
  peer:  array [Side] of array [Link] of Epoch; -- PEER
  named: array [Side] of array [Link] of Name;  -- PORT of the HELLO that named PEER
  left:  array [Side] of Mask;                  -- DEAD by bond loss, or not in the bond (B?)
  am:    array [Side] of Mask;
  port:  array [Side] of Name;
--@ where WIRE
  q:     array [Side] of array [Link] of Flit;  -- on its way to that side
--@ end
  mate:  array [Side] of Mate; -- ghost: with which session of the peer this session has exchanged PROT
  faults: 0..FAULTS;
  calm:  boolean; -- no fault comes any more
  downs: 0..DOWNS+1;

function other(s: Side): Side; begin
  for o: Side do if o != s then return o; endif; endfor;
end;

function quiet(s: Side; l: Link): boolean; begin -- nothing is on its way to s
--@ where WIRE
  return isundefined(q[s][l].kind);
--@ end
  return true;
end;

function set(m: Mask): boolean; begin return exists l: Link do m[l] endexists; end;
function only(m: Mask; l: Link): boolean; begin return forall k: Link do m[k] = (k = l) endforall; end;
function pair(s: Side; l: Link): boolean; -- both ends of l name each other
var o: Side;
begin
  o := other(s);
  return peer[s][l] != 0 & peer[s][l] = epoch[o][l] & peer[o][l] = epoch[s][l];
end;

-- Sessions --------------------------------------------------------------------------------------------------------

procedure drop_session(s: Side; l: Link); begin -- D
  st[s][l] := DETECT;
  peer[s][l] := 0;
  named[s][l] := 0;
  left[s][l] := false;
end;

procedure new_session(s: Side; l: Link); begin -- N
  drop_session(s, l);
  epoch[s][l] := 5;
end;

procedure dead(s: Side; l: Link; bond: boolean); begin
  drop_session(s, l);
  st[s][l] := DEAD;
  epoch[s][l] := 0;
  left[s][l] := bond;
end;

procedure session_over(s: Side);
var o: Side;
begin
  o := other(s);
  if set(am[s]) then
    for l: Link do am[s][l] := false; endfor;
    mate[s] := NONE;
    if mate[o] = PRESENT then mate[o] := PAST; endif;
    if calm then downs := downs + 1; endif;
  endif;
end;

procedure lose(s: Side; l: Link); begin -- X, Q: bond link loss, or the end of the session
  if am[s][l] then
    if only(am[s], l) then session_over(s); else am[s][l] := false; endif;
    dead(s, l, true);
  else
    dead(s, l, left[s][l]);
  endif;
end;

procedure bond_drop(s: Side; l: Link); begin -- row 5
  if st[s][l] != DEAD then
    lose(s, l);
    left[s][l] := true;
  endif;
end;

procedure port_down(s: Side; l: Link); begin -- row 3
  if st[s][l] = ACTIVE | (st[s][l] = DEAD & left[s][l]) then
    new_session(s, l);
  endif;
end;

procedure link_down(s: Side; l: Link); begin -- L
  if set(am[s]) then
    session_over(s);
    for k: Link do if k != l then port_down(s, k); endif; endfor;
  endif;
end;

procedure new_port(s: Side); begin port[s] := 2 * LINKS + 2; end;

-- The bond (4.1, 4.6) -----------------------------------------------------------------------------------------------

function one_port(s: Side; m: Mask): boolean; begin -- HSL-BND-012
  return forall k: Link do forall l: Link do m[k] & m[l] -> named[s][k] = named[s][l] endforall endforall;
end;

function usable(s: Side; m: Mask): boolean; begin
  return set(m) & one_port(s, m) & forall k: Link do m[k] -> st[s][k] = ACTIVE endforall;
end;

procedure begin_port(s: Side; m: Mask); begin
  am[s] := m;
  for k: Link do if !m[k] then bond_drop(s, k); endif; endfor;
end;

procedure joined(s: Side; l: Link);
var all: Mask;
begin
  if set(am[s]) then
    bond_drop(s, l);
  else
    for k: Link do all[k] := true; endfor;
    if usable(s, all) then begin_port(s, all); endif;
  endif;
end;

procedure bond_fail(s: Side; m: Mask); begin -- the rule of 4.1, R1
  if set(am[s]) then
    for k: Link do if am[s][k] & !m[k] then bond_drop(s, k); endif; endfor;
  elsif usable(s, m) then
    begin_port(s, m);
  endif;
end;

-- Names -------------------------------------------------------------------------------------------------------------

procedure renumber_epochs(s: Side; l: Link);
var o: Side; map: array [Epoch] of Epoch; used: Epoch;
begin
  o := other(s);
  for e: Epoch do map[e] := 0; endfor;
  used := 0;
  if epoch[s][l] != 0 then used := used + 1; map[epoch[s][l]] := used; endif;
  if peer[o][l] != 0 & map[peer[o][l]] = 0 then used := used + 1; map[peer[o][l]] := used; endif;
--@ where WIRE
  if !isundefined(q[o][l].kind) then
    if q[o][l].epoch != 0 & map[q[o][l].epoch] = 0 then used := used + 1; map[q[o][l].epoch] := used; endif;
  endif;
  if !isundefined(q[s][l].kind) then
    if q[s][l].peer != 0 & map[q[s][l].peer] = 0 then used := used + 1; map[q[s][l].peer] := used; endif;
  endif;
--@ end
  epoch[s][l] := map[epoch[s][l]];
  peer[o][l] := map[peer[o][l]];
--@ where WIRE
  if !isundefined(q[o][l].kind) then q[o][l].epoch := map[q[o][l].epoch]; endif;
  if !isundefined(q[s][l].kind) then q[s][l].peer := map[q[s][l].peer]; endif;
--@ end
end;

procedure renumber_ports(s: Side);
var o: Side; map: array [Name] of Name; used: Name;
begin
  o := other(s);
  for n: Name do map[n] := 0; endfor;
  used := 1;
  map[port[s]] := 1;
  for l: Link do
    if named[o][l] != 0 & map[named[o][l]] = 0 then used := used + 1; map[named[o][l]] := used; endif;
    named[o][l] := map[named[o][l]];
  endfor;
--@ where WIRE
  for l: Link do
    if !isundefined(q[o][l].port) then
      if map[q[o][l].port] = 0 then used := used + 1; map[q[o][l].port] := used; endif;
      q[o][l].port := map[q[o][l].port];
    endif;
  endfor;
--@ end
  port[s] := 1;
end;

procedure done();
var o: Side;
begin
  for s: Side do
    for l: Link do renumber_epochs(s, l); endfor;
    renumber_ports(s);
  endfor;
  for s: Side do
    o := other(s);
    if mate[s] = NONE & exists l: Link do am[s][l] & am[o][l] & st[s][l] = ACTIVE & st[o][l] = ACTIVE & pair(s, l) endexists then
      mate[s] := PRESENT;
    endif;
  endfor;
end;

-- Reception -----------------------------------------------------------------------------------------------------------

procedure take_peer(s: Side; l: Link; f: Flit); begin -- V
  peer[s][l] := f.epoch;
  named[s][l] := f.port;
  if f.peer = epoch[s][l] then st[s][l] := HAND; endif;
end;

procedure new_epoch(s: Side; l: Link; f: Flit); begin -- rows 33, 34
  if st[s][l] = ACTIVE then
    if am[s][l] & named[s][l] = f.port & !only(am[s], l) then -- HSL-BND-011
      lose(s, l);
      return;
    endif;
    link_down(s, l);
  endif;
  drop_session(s, l);
  take_peer(s, l, f);
end;

procedure on_hello(s: Side; l: Link; f: Flit); -- rows 31 to 34
var anew: boolean;
begin
  anew := am[s][l] & named[s][l] != f.port;
  if f.epoch != peer[s][l] then
    new_epoch(s, l, f);
  elsif st[s][l] = DETECT & f.peer = epoch[s][l] then
    st[s][l] := HAND;
  endif;
  assert "a HELLO of another PORT ends the session" !anew | !set(am[s]);
end;

procedure on_other(s: Side; l: Link; f: Flit); begin
  if peer[s][l] != 0 & f.epoch = peer[s][l] & f.peer = epoch[s][l] then
    switch st[s][l]
      case DETECT: st[s][l] := HAND;
      case HAND: st[s][l] := ACTIVE; joined(s, l);
      case ACTIVE:
        if f.kind = LATER then
          if f.bond then bond_fail(s, f.mask); endif;
        endif;
    endswitch;
  endif;
end;

procedure arrive(s: Side; l: Link; f: Flit); begin
  if f.kind = HELLO then on_hello(s, l, f); else on_other(s, l, f); endif;
end;

-- Sending --------------------------------------------------------------------------------------------------------------

ruleset s: Side; l: Link do
--@ where WIRE
  rule "receive" !isundefined(q[s][l].kind) ==>
  var f: Flit;
  begin
    f := q[s][l];
    undefine q[s][l];
    if st[s][l] != DEAD then arrive(s, l, f); endif;
    done();
  end;
--@ end

  rule "send" st[s][l] != DEAD & quiet(other(s), l) & (WIRE = 1 | st[other(s)][l] != DEAD) ==>
  var f: Flit;
  begin
    undefine f;
    f.epoch := epoch[s][l];
    f.peer := peer[s][l];
    switch st[s][l]
      case DETECT: f.kind := HELLO; f.port := port[s];
      case HAND: f.kind := CAPS;
      case ACTIVE:
        f.kind := LATER;
        f.bond := am[s][l];
        if am[s][l] then f.mask := am[s]; endif;
    endswitch;
--@ where WIRE
    q[other(s)][l] := f;
    done();
    return;
--@ end
    arrive(other(s), l, f);
    done();
  end;
endruleset;

-- Timers --------------------------------------------------------------------------------------------------------------
-- They are longer than many turns of HELLO, CAPS and BOND_FAIL. When no flit is lost they expire only where no flit helps.

function useful(s: Side; l: Link): boolean; -- what the other side sends now would change something here
var o: Side;
begin
  o := other(s);
  if st[s][l] = DEAD | st[o][l] = DEAD then return false; endif;
  if st[o][l] = DETECT then
    return epoch[o][l] != peer[s][l] | (st[s][l] = DETECT & peer[o][l] = epoch[s][l]);
  endif;
  if !pair(s, l) then return false; endif;
  if st[s][l] != ACTIVE then return true; endif;
  if !am[o][l] then return false; endif;
  return set(am[s]) ? exists k: Link do am[s][k] & !am[o][k] endexists : usable(s, am[o]);
end;

function at_rest(l: Link): boolean; begin
  return forall s: Side do quiet(s, l) & !useful(s, l) endforall;
end;

function late(l: Link): boolean; begin return (!calm & LOSS = 1) | at_rest(l); end;

ruleset s: Side; l: Link do
  rule "T_STATE in CONFIG or INIT" st[s][l] = HAND & late(l) ==> begin new_session(s, l); done(); end; -- row 13

  rule "T_DEADKA, then T_STATE in RECOVERY" -- rows 13, 21
    SOFT = 1 & st[s][l] = ACTIVE & late(l) & (!calm | !(pair(s, l) & st[other(s)][l] = ACTIVE))
  ==> begin lose(s, l); done(); end;

  rule "ERR_FATAL" -- row 54
    quiet(s, l) & st[other(s)][l] = DEAD & (st[s][l] = HAND | st[s][l] = ACTIVE)
  ==> begin
    if st[s][l] = HAND then new_session(s, l); else lose(s, l); endif;
    done();
  end;

  rule "DISABLE" -- row 52, L2
    quiet(s, l) & !calm & forall k: Link do st[other(s)][k] = DEAD endforall & st[s][l] = ACTIVE
  ==> begin
    if am[s][l] & !only(am[s], l) then
      lose(s, l);
    else
      link_down(s, l);
      new_session(s, l);
    endif;
    done();
  end;

  rule "T_PORT" -- the port starts with the links of one PORT: those of l
    !set(am[s]) & st[s][l] = ACTIVE & forall k: Link do late(k) endforall
  ==>
  var m: Mask;
  begin
    for k: Link do m[k] := st[s][k] = ACTIVE & named[s][k] = named[s][l]; endfor;
    begin_port(s, m);
    done();
  end;

--@ where WIRE
  rule "lose a flit" !calm & LOSS = 1 & !isundefined(q[s][l].kind) ==> begin undefine q[s][l]; done(); end;
--@ end
endruleset;

-- Software ------------------------------------------------------------------------------------------------------------

ruleset s: Side do
  rule "sw_enable" -- row 1: HSL-BND-013
    SOFT = 1 & !set(am[s]) & exists l: Link do st[s][l] = DEAD endexists
  ==> begin
    if forall l: Link do st[s][l] = DEAD endforall then new_port(s); endif;
    for l: Link do if st[s][l] = DEAD then new_session(s, l); endif; endfor;
    done();
  end;

  rule "restart" !calm & faults > 0 ==> begin
    faults := faults - 1;
    session_over(s);
    new_port(s);
    for l: Link do new_session(s, l); endfor;
    done();
  end;

  rule "sw_disable" SOFT = 1 & !calm & faults > 0 ==> begin
    faults := faults - 1;
    session_over(s);
    for l: Link do dead(s, l, false); endfor;
    done();
  end;

  rule "port_down of the transaction layer" !calm & faults > 0 & set(am[s]) ==> begin
    faults := faults - 1;
    session_over(s);
    new_port(s);
    for l: Link do port_down(s, l); endfor;
    done();
  end;
endruleset;

rule "faults end" !calm ==> begin calm := true; end;

startstate begin
--@ where WIRE
  undefine q;
--@ end
  for s: Side do
    port[s] := 1;
    mate[s] := NONE;
    for l: Link do
      am[s][l] := false;
      epoch[s][l] := 0;
      new_session(s, l);
    endfor;
  endfor;
  faults := FAULTS;
  calm := false;
  downs := 0;
  done();
end;

-- What must hold ------------------------------------------------------------------------------------------------------

invariant "a session exchanges PROT with one session of the peer"
  forall s: Side do
    mate[s] = PAST -> forall l: Link do
      !(am[s][l] & am[other(s)][l] & st[s][l] = ACTIVE & st[other(s)][l] = ACTIVE & pair(s, l))
    endforall
  endforall;

invariant "a port holds links of one incarnation of the peer"
  forall s: Side do one_port(s, am[s]) endforall;

-- A cycle on which a session ends would pass any bound.
invariant "the ports cease to go down when no fault comes any more" downs <= DOWNS;

-- From every state, also with no fault from there on (`calm`), this is reachable.
liveness "both ports are up with the same links"
  forall s: Side do set(am[s]) & forall l: Link do
    am[s][l] = am[other(s)][l] & (am[s][l] -> st[s][l] = ACTIVE & pair(s, l))
  endforall endforall;
